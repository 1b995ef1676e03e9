from tortoise import migrations
from tortoise.migrations import operations as ops
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('referral', '0001_initial')]

    initial = False

    operations = [
        ops.CreateModel(
            name='ApiKey',
            fields=[
                ('name', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=100)),
                ('digest', fields.CharField(unique=True, max_length=43)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'api_keys', 'app': 'referral', 'pk_attr': 'name', 'table_description': 'A bearer token for administration by programs.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('action', fields.CharField(max_length=50)),
                ('actor', fields.CharField(max_length=150)),
                ('user_id', fields.UUIDField(null=True)),
                ('address', fields.CharField(null=True, max_length=45)),
            ],
            options={'table': 'audit_entries', 'app': 'referral', 'indexes': [Index(fields=['at', 'id'], name='audit_entries_by_age'), Index(fields=['user_id', 'at', 'id'], name='audit_entries_by_user')], 'pk_attr': 'id', 'table_description': 'Who did what, when, from where. User ids, never phones: it outlives the users.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Lease',
            fields=[
                ('name', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=50)),
                ('holder', fields.UUIDField()),
                ('expires_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'leases', 'app': 'referral', 'pk_attr': 'name', 'table_description': 'Which process does something that one at a time should do, and until when it has said so.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SendTally',
            fields=[
                ('key', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ('hour', fields.IntField(db_index=True)),
                ('sends', fields.IntField()),
                ('sign_ins', fields.IntField()),
            ],
            options={'table': 'send_tallies', 'app': 'referral', 'pk_attr': 'key', 'table_description': 'What was sent, and how many signed in with it, by hour and country or address.'},
            bases=['Model'],
        ),
        ops.AddIndex(
            model_name='User',
            index=Index(fields=['created_at', 'id'], name='users_by_age'),
        ),
    ]
