from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('referral', '0004_administration')]

    initial = False

    operations = [
        ops.CreateModel(
            name='DeliveryCount',
            fields=[
                ('key', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ('hour', fields.IntField(db_index=True)),
                ('sent', fields.IntField()),
                ('delivered', fields.IntField()),
                ('used', fields.IntField()),
                ('seconds', fields.FloatField()),
            ],
            options={'table': 'delivery_counts', 'app': 'referral', 'pk_attr': 'key', 'table_description': 'How many messages were sent, delivered and used, by hour, country and channel.'},
            bases=['Model'],
        ),
    ]
