CREATE TRIGGER django_mirrors_record_inserted
AFTER INSERT ON django_mirrors_mirrorrecord
BEGIN
    INSERT OR IGNORE INTO django_mirrors_fleetversion (id, number, deletions)
    VALUES (1, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), 0);
    UPDATE django_mirrors_fleetversion SET number = number + 1;
    UPDATE django_mirrors_mirrorrecord
    SET version = (SELECT number FROM django_mirrors_fleetversion)
    WHERE id = NEW.id;
END;
-- statement
CREATE TRIGGER django_mirrors_record_updated
AFTER UPDATE OF
    name, uid, state, declared, definition, reason, retry_after, "release", migrations,
    read_only
ON django_mirrors_mirrorrecord
BEGIN
    INSERT OR IGNORE INTO django_mirrors_fleetversion (id, number, deletions)
    VALUES (1, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), 0);
    UPDATE django_mirrors_fleetversion SET number = number + 1;
    UPDATE django_mirrors_mirrorrecord
    SET version = (SELECT number FROM django_mirrors_fleetversion)
    WHERE id = NEW.id;
END;
-- statement
CREATE TRIGGER django_mirrors_record_deleted
AFTER DELETE ON django_mirrors_mirrorrecord
BEGIN
    INSERT OR IGNORE INTO django_mirrors_fleetversion (id, number, deletions)
    VALUES (1, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), 0);
    UPDATE django_mirrors_fleetversion
    SET number = number + 1, deletions = deletions + 1;
END;
