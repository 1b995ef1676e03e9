from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('referral', '0004_sessions_that_prove_phones')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Session',
            name='late_repeats_tat',
            field=fields.BigIntField(db_default=0),
        ),
        ops.AddField(
            model_name='Session',
            name='proof',
            field=fields.CharField(null=True, max_length=10),
        ),
        ops.AddField(
            model_name='User',
            name='device_generation',
            field=fields.IntField(db_default=0),
        ),
    ]
