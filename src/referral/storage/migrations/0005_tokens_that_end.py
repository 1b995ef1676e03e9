from tortoise import migrations
from tortoise.migrations import operations as ops
from uuid import uuid4
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('referral', '0004_sessions_that_prove_phones')]

    initial = False

    operations = [
        ops.CreateModel(
            name='DeviceGeneration',
            fields=[
                ('user_id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ('generation', fields.IntField()),
            ],
            options={'table': 'device_generations', 'app': 'referral', 'pk_attr': 'user_id', 'table_description': "What a user's device tokens carry. Raising it ends those of before. Without a row: 0."},
            bases=['Model'],
        ),
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
    ]
