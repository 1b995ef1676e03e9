from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='AdminGrant',
            fields=[
                ('phone', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=16)),
            ],
            options={'table': 'admin_grants', 'app': 'referral', 'pk_attr': 'phone', 'table_description': 'A phone whose user becomes an administrator at the first sign-in.'},
            bases=['Model'],
        ),
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
            options={'table': 'audit_entries', 'app': 'referral', 'indexes': [Index(fields=['at', 'id'], name='audit_entries_by_age'), Index(fields=['user_id', 'at', 'id'], name='audit_entries_by_user')], 'pk_attr': 'id', 'table_description': 'Who did what, when and from where. It has no phones, because entries outlive the users.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Counter',
            fields=[
                ('key', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=22)),
                ('tat', fields.BigIntField(db_index=True)),
            ],
            options={'table': 'counters', 'app': 'referral', 'pk_attr': 'key', 'table_description': 'How much of one limit is used: see limits/gcra.py.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='DataKey',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ('encrypted', fields.TextField(unique=False)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'data_keys', 'app': 'referral', 'pk_attr': 'id', 'table_description': 'A random secret, encrypted by a key derived from REFERRAL_SECRET.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='DeviceGeneration',
            fields=[
                ('user_id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ('generation', fields.IntField()),
            ],
            options={'table': 'device_generations', 'app': 'referral', 'pk_attr': 'user_id', 'table_description': "The generation that a user's valid device tokens carry. A user without a row has 0."},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='EndpointState',
            fields=[
                ('name', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=50)),
                ('failing_since', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('failures', fields.IntField(default=0)),
                ('next_attempt_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('error', fields.CharField(null=True, max_length=100)),
                ('failed_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'endpoint_states', 'app': 'referral', 'pk_attr': 'name', 'table_description': 'The circuit breaker of the webhook endpoint, shared by all processes.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Event',
            fields=[
                ('sequence', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('id', fields.UUIDField()),
                ('type', fields.CharField(max_length=30)),
                ('user_id', fields.UUIDField(null=True)),
                ('data', fields.TextField(unique=False)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('next_attempt_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('attempts', fields.IntField(default=0)),
                ('first_attempt_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('error', fields.CharField(null=True, max_length=100)),
                ('finished_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'outbox', 'app': 'referral', 'indexes': [Index(fields=['next_attempt_at', 'sequence'], name='outbox_by_next_attempt'), Index(fields=['user_id', 'sequence'], name='outbox_by_user'), Index(fields=['finished_at'], name='outbox_by_finish')], 'pk_attr': 'sequence', 'table_description': 'An event for the webhook endpoint. It has no phones: they are added at delivery.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Lease',
            fields=[
                ('name', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=50)),
                ('holder', fields.UUIDField()),
                ('expires_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'leases', 'app': 'referral', 'pk_attr': 'name', 'table_description': 'The process that does a job, and until when. Only one process does it at a time.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='PastActivation',
            fields=[
                ('phone_digest', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=43)),
                ('expires_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'past_activations', 'app': 'referral', 'pk_attr': 'phone_digest', 'table_description': 'A keyed digest of a phone that activated an invite code and then left its account.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='TrafficCount',
            fields=[
                ('key', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ('hour', fields.IntField(db_index=True)),
                ('sends', fields.IntField()),
                ('sign_ins', fields.IntField()),
            ],
            options={'table': 'traffic_counts', 'app': 'referral', 'pk_attr': 'key', 'table_description': 'How many codes were sent and how many sign-ins followed, by hour and segment.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='User',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ('phone', fields.CharField(null=True, unique=True, max_length=16)),
                ('name', fields.CharField(null=True, max_length=100)),
                ('email', fields.CharField(null=True, max_length=254)),
                ('invite_code', fields.CharField(unique=True, max_length=6)),
                ('inviter', fields.ForeignKeyField('referral.User', source_field='inviter_id', null=True, db_constraint=True, to_field='id', related_name='invitees', on_delete=OnDelete.RESTRICT)),
                ('activated_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('inviter_sees_phone', fields.BooleanField(default=True)),
                ('invitee_count', fields.IntField(default=0)),
                ('is_admin', fields.BooleanField(default=False)),
                ('is_blocked', fields.BooleanField(default=False)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('last_sign_in_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('deleted_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'users', 'app': 'referral', 'indexes': [Index(fields=['inviter_id', 'activated_at', 'id'], name='users_by_inviter'), Index(fields=['created_at', 'id'], name='users_by_age')], 'pk_attr': 'id', 'table_description': 'One person, one phone.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Session',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ('user', fields.ForeignKeyField('referral.User', source_field='user_id', db_constraint=True, to_field='id', related_name='sessions', on_delete=OnDelete.CASCADE)),
                ('family_digest', fields.BinaryField()),
                ('refresh_digest', fields.BinaryField()),
                ('user_agent', fields.CharField(null=True, max_length=255)),
                ('proof', fields.CharField(max_length=10)),
                ('late_repeats_tat', fields.BigIntField(db_default=0)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('last_used_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'sessions', 'app': 'referral', 'indexes': [Index(fields=['user_id', 'created_at', 'id'], name='sessions_by_user')], 'pk_attr': 'id', 'table_description': 'One sign-in. Ending it deletes the row.'},
            bases=['Model'],
        ),
    ]
