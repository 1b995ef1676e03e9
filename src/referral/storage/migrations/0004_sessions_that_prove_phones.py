from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('referral', '0003_webhooks')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Session',
            name='proves_phone',
            field=fields.BooleanField(null=True),
        ),
    ]
