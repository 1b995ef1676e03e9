from tortoise import migrations
from tortoise.migrations import operations as ops
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('referral', '0002_clients')]

    initial = False

    operations = [
        ops.CreateModel(
            name='Activation',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('user_id', fields.UUIDField()),
                ('inviter_id', fields.UUIDField()),
                ('made_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('voided_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('is_repeat', fields.BooleanField(default=False)),
                ('flags', fields.CharField(default='', max_length=60)),
            ],
            options={'table': 'activations', 'app': 'referral', 'indexes': [Index(fields=['user_id', 'id'], name='activations_by_user'), Index(fields=['inviter_id', 'made_at'], name='activations_by_inviter')], 'pk_attr': 'id', 'table_description': 'An activation of an invite code, also a voided one or an imported link.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='AdmittedPhone',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('phone_digest', fields.CharField(max_length=43)),
                ('inviter_id', fields.UUIDField()),
                ('takes_place', fields.BooleanField()),
                ('expires_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'admitted_phones', 'app': 'referral', 'unique_together': (('phone_digest', 'inviter_id'),), 'indexes': [Index(fields=['inviter_id'], name='admitted_phones_by_inviter')], 'pk_attr': 'id', 'table_description': "A keyed digest of a phone that an inviter's code has admitted, and that left its account."},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='CountedEvent',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('event_id', fields.CharField(max_length=128)),
                ('rule', fields.CharField(max_length=64)),
                ('version', fields.IntField()),
                ('activation_id', fields.BigIntField()),
                ('occurred_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('stands', fields.BooleanField(default=True)),
            ],
            options={'table': 'counted_events', 'app': 'referral', 'unique_together': (('event_id', 'rule'),), 'indexes': [Index(fields=['activation_id', 'rule', 'stands', 'occurred_at', 'id'], name='counted_events_by_activation')], 'pk_attr': 'id', 'table_description': 'An event that makes its user qualify for a rule that looks at invitees.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='InviteOpens',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('user_id', fields.UUIDField()),
                ('day', fields.CharField(max_length=10)),
                ('number', fields.BigIntField()),
            ],
            options={'table': 'invite_opens', 'app': 'referral', 'unique_together': (('user_id', 'day'),), 'indexes': [Index(fields=['day'], name='invite_opens_by_day')], 'pk_attr': 'id', 'table_description': 'How often the invite link of a user was opened on one day.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='MilestoneInvitee',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('entry_id', fields.UUIDField(db_index=True)),
                ('activation_id', fields.BigIntField(db_index=True)),
            ],
            options={'table': 'milestone_invitees', 'app': 'referral', 'pk_attr': 'id', 'table_description': 'One of the invitees who made a milestone, by their activation.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Qualifier',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('rule', fields.CharField(max_length=64)),
                ('user_id', fields.UUIDField()),
                ('activation_id', fields.BigIntField()),
            ],
            options={'table': 'qualifiers', 'app': 'referral', 'unique_together': (('rule', 'activation_id'),), 'indexes': [Index(fields=['user_id', 'rule', 'id'], name='qualifiers_by_inviter')], 'pk_attr': 'id', 'table_description': 'An invitee who qualifies for a milestone rule at present, by their activation.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Redemption',
            fields=[
                ('id', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=128)),
                ('digest', fields.CharField(max_length=43)),
                ('entry_id', fields.UUIDField()),
                ('user_id', fields.UUIDField()),
                ('reversed_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'redemptions', 'app': 'referral', 'pk_attr': 'id', 'table_description': 'A redemption: a user has spent a part of their balance.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='RewardBalance',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('user_id', fields.UUIDField()),
                ('unit', fields.CharField(max_length=24)),
                ('amount', fields.BigIntField()),
            ],
            options={'table': 'reward_balances', 'app': 'referral', 'unique_together': (('user_id', 'unit'),), 'pk_attr': 'id', 'table_description': "The sum of a user's entries in one unit that are pending or available."},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='RewardEntry',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ('kind', fields.CharField(max_length=10)),
                ('user_id', fields.UUIDField()),
                ('unit', fields.CharField(max_length=24)),
                ('amount', fields.BigIntField()),
                ('cause', fields.CharField(max_length=200)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('available_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('review', fields.CharField(null=True, max_length=8)),
                ('reversed_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('reverses_id', fields.UUIDField(null=True)),
                ('announcement_id', fields.UUIDField(null=True, db_index=True)),
                ('rule', fields.CharField(null=True, max_length=64)),
                ('version', fields.IntField(null=True)),
                ('subject', fields.CharField(null=True, max_length=140)),
                ('attempt', fields.IntField(null=True)),
                ('event_id', fields.CharField(null=True, max_length=128)),
                ('made_by', fields.CharField(null=True, max_length=140)),
                ('about_user_id', fields.UUIDField(null=True)),
                ('activation_id', fields.BigIntField(null=True)),
                ('milestone', fields.IntField(null=True)),
            ],
            options={'table': 'reward_entries', 'app': 'referral', 'unique_together': (('user_id', 'rule', 'subject', 'attempt'),), 'indexes': [Index(fields=['created_at', 'id'], name='reward_entries_by_age'), Index(fields=['user_id', 'created_at', 'id'], name='reward_entries_by_user'), Index(fields=['user_id', 'unit', 'available_at'], name='reward_entries_by_hold'), Index(fields=['user_id', 'review'], name='reward_entries_by_decision'), Index(fields=['review', 'created_at', 'id'], name='reward_entries_by_review'), Index(fields=['made_by'], name='reward_entries_by_event'), Index(fields=['activation_id'], name='reward_entries_by_activation'), Index(fields=['about_user_id'], name='reward_entries_by_invitee'), Index(fields=['reverses_id'], name='reward_entries_by_reversal')], 'pk_attr': 'id', 'table_description': 'An entry of the ledger. It is never deleted, and its amount never changes.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='RewardEvent',
            fields=[
                ('id', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=128)),
                ('digest', fields.CharField(null=True, max_length=43)),
                ('type', fields.CharField(max_length=64)),
                ('user_id', fields.UUIDField()),
                ('activation_id', fields.BigIntField(null=True)),
                ('occurred_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('reversed_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('reason', fields.CharField(null=True, max_length=200)),
            ],
            options={'table': 'reward_events', 'app': 'referral', 'pk_attr': 'id', 'table_description': 'Something that a user did: an event that was posted, or an activation.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='RewardRule',
            fields=[
                ('name', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                ('trigger', fields.CharField(max_length=64)),
                ('beneficiary', fields.CharField(max_length=7)),
                ('unit', fields.CharField(max_length=24)),
                ('occurs', fields.CharField(max_length=5)),
                ('invitees', fields.IntField(null=True)),
                ('version', fields.IntField()),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('deleted_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'reward_rules', 'app': 'referral', 'pk_attr': 'name', 'table_description': 'A rule that turns events into rewards: what never changes about it.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='RewardRuleVersion',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('rule', fields.CharField(max_length=64)),
                ('version', fields.IntField()),
                ('amount', fields.BigIntField()),
                ('min_value', fields.BigIntField(null=True)),
                ('cap_per_month', fields.BigIntField(null=True)),
                ('cap_total', fields.BigIntField(null=True)),
                ('hold_days', fields.IntField()),
                ('review', fields.CharField(max_length=7)),
                ('starts_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('ends_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'reward_rule_versions', 'app': 'referral', 'unique_together': (('rule', 'version'),), 'pk_attr': 'id', 'table_description': 'One version of a rule. It is never changed or deleted.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='RewardTotal',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('rule', fields.CharField(max_length=64)),
                ('user_id', fields.UUIDField()),
                ('period', fields.CharField(max_length=7)),
                ('amount', fields.BigIntField(default=0)),
                ('qualifiers', fields.IntField(default=0)),
            ],
            options={'table': 'reward_totals', 'app': 'referral', 'unique_together': (('user_id', 'rule', 'period'),), 'pk_attr': 'id', 'table_description': 'The sum that a rule has given a user, and how many of their invitees qualify for it.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SignUpGrant',
            fields=[
                ('phone', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=16)),
            ],
            options={'table': 'sign_up_grants', 'app': 'referral', 'pk_attr': 'phone', 'table_description': 'A phone that may sign up without an invite code. Deleted when it signs up.'},
            bases=['Model'],
        ),
        ops.AddField(
            model_name='ApiKey',
            name='events_only',
            field=fields.BooleanField(db_default=False),
        ),
        ops.AddField(
            model_name='Session',
            name='address_digest',
            field=fields.CharField(null=True, max_length=22),
        ),
        ops.AddField(
            model_name='User',
            name='places_taken',
            field=fields.IntField(null=True),
        ),
        ops.AddField(
            model_name='User',
            name='voided_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
    ]
