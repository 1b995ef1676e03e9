from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('referral', '0002_administration')]

    initial = False

    operations = [
        ops.CreateModel(
            name='Event',
            fields=[
                ('place', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('id', fields.UUIDField()),
                ('type', fields.CharField(max_length=30)),
                ('user_id', fields.UUIDField(null=True)),
                ('data', fields.TextField(unique=False)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('due_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('tries', fields.IntField(default=0)),
                ('first_tried_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('error', fields.CharField(null=True, max_length=100)),
                ('done_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'outbox', 'app': 'referral', 'indexes': [Index(fields=['due_at', 'place'], name='outbox_by_due'), Index(fields=['user_id', 'place'], name='outbox_by_user'), Index(fields=['done_at'], name='outbox_by_end')], 'pk_attr': 'place', 'table_description': "What happened, for the team's receiver. User ids, never phones: those join at delivery."},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='ReceiverState',
            fields=[
                ('name', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=50)),
                ('away_since', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('failures', fields.IntField(default=0)),
                ('until', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('error', fields.CharField(null=True, max_length=100)),
                ('failed_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'receiver_states', 'app': 'referral', 'pk_attr': 'name', 'table_description': 'How the receiver of the events is, for whichever process delivers next.'},
            bases=['Model'],
        ),
    ]
