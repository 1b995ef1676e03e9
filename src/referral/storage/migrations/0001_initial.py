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
            options={'table': 'admin_grants', 'app': 'referral', 'pk_attr': 'phone', 'table_description': 'A phone that becomes an administrator at its first sign-in.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Counter',
            fields=[
                ('key', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=22)),
                ('moment', fields.BigIntField(db_index=True)),
            ],
            options={'table': 'counters', 'app': 'referral', 'pk_attr': 'key', 'table_description': 'How much of one limit somebody has used, see limits/gcra.py. Never a code.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='KeptSecret',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ('sealed', fields.TextField(unique=False)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'kept_secrets', 'app': 'referral', 'pk_attr': 'id', 'table_description': 'A random secret, sealed by a key derived from REFERRAL_SECRET.'},
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
            options={'table': 'users', 'app': 'referral', 'indexes': [Index(fields=['inviter_id', 'activated_at', 'id'], name='users_by_inviter')], 'pk_attr': 'id', 'table_description': 'One person, one phone.'},
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
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('last_used_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'sessions', 'app': 'referral', 'indexes': [Index(fields=['user_id', 'created_at', 'id'], name='sessions_by_user')], 'pk_attr': 'id', 'table_description': 'One sign-in. Ending it deletes the row.'},
            bases=['Model'],
        ),
    ]
