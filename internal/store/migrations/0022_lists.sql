-- Lists of assessments by when they expire, and of changes by who made them.
create index assessments_by_expiry on assessments (coalesce(expires_at, 9223372036854775807), id);
create index audit_log_actor on audit_log (actor, id);
create index audit_log_action on audit_log (action, id);
create index audit_log_at on audit_log (at);
