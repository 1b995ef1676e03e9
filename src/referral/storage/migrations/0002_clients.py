from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.fields.base import OnDelete
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('referral', '0001_tables')]

    initial = False

    operations = [
        ops.CreateModel(
            name='Client',
            fields=[
                ('id', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                ('name', fields.CharField(unique=True, max_length=60)),
                ('redirect_uris', fields.TextField(unique=False)),
                ('post_logout_redirect_uris', fields.TextField(unique=False)),
                ('is_public', fields.BooleanField()),
                ('requires_pkce', fields.BooleanField()),
                ('account_allowed', fields.BooleanField()),
                ('audience', fields.CharField(null=True, max_length=200)),
                ('secret_digest', fields.CharField(null=True, max_length=43)),
                ('previous_secret_digest', fields.CharField(null=True, max_length=43)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'clients', 'app': 'referral', 'pk_attr': 'id', 'table_description': 'An app of the team that signs people in with OpenID Connect.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SigningKey',
            fields=[
                ('id', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=43)),
                ('encrypted', fields.TextField(unique=False)),
                ('signs_from', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'signing_keys', 'app': 'referral', 'pk_attr': 'id', 'table_description': 'A key pair for ID tokens, encrypted by a data key.'},
            bases=['Model'],
        ),
        ops.AddField(
            model_name='Session',
            name='authenticated_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Session',
            name='client',
            field=fields.ForeignKeyField('referral.Client', source_field='client_id', null=True, db_constraint=True, to_field='id', related_name='sessions', on_delete=OnDelete.CASCADE),
        ),
        ops.AddField(
            model_name='Session',
            name='expires_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Session',
            name='scopes',
            field=fields.CharField(null=True, max_length=200),
        ),
        ops.AddIndex(
            model_name='Session',
            index=Index(fields=['client_id'], name='sessions_by_client'),
        ),
    ]
