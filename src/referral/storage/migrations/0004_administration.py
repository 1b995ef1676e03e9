from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields
from tortoise.indexes import Index, PartialIndex

class Migration(migrations.Migration):
    dependencies = [('referral', '0003_growth')]

    initial = False

    operations = [
        ops.AddField(
            model_name='AuditEntry',
            name='reason',
            field=fields.CharField(null=True, max_length=200),
        ),
        ops.AddIndex(
            model_name='User',
            index=Index(fields=['invitee_count', 'id'], name='users_by_invitee_count'),
        ),
        ops.AddIndex(
            model_name='User',
            index=PartialIndex(fields=['created_at', 'id'], name='users_blocked_by_age', condition={'is_blocked': True}),
        ),
        ops.AddIndex(
            model_name='User',
            index=PartialIndex(fields=['created_at', 'id'], name='users_admins_by_age', condition={'is_admin': True}),
        ),
    ]
