CREATE TRIGGER django_mirrors_record_inserted
BEFORE INSERT ON django_mirrors_mirrorrecord FOR EACH ROW
BEGIN
    INSERT IGNORE INTO django_mirrors_fleetversion (id, number, deletions)
    VALUES (1, UNIX_TIMESTAMP() * 1000, 0);
    UPDATE django_mirrors_fleetversion SET number = number + 1;
    SET NEW.version = (SELECT number FROM django_mirrors_fleetversion LIMIT 1);
END;
-- statement
CREATE TRIGGER django_mirrors_record_updated
BEFORE UPDATE ON django_mirrors_mirrorrecord FOR EACH ROW
BEGIN
    INSERT IGNORE INTO django_mirrors_fleetversion (id, number, deletions)
    VALUES (1, UNIX_TIMESTAMP() * 1000, 0);
    UPDATE django_mirrors_fleetversion SET number = number + 1;
    SET NEW.version = (SELECT number FROM django_mirrors_fleetversion LIMIT 1);
END;
-- statement
CREATE TRIGGER django_mirrors_record_deleted
AFTER DELETE ON django_mirrors_mirrorrecord FOR EACH ROW
BEGIN
    INSERT IGNORE INTO django_mirrors_fleetversion (id, number, deletions)
    VALUES (1, UNIX_TIMESTAMP() * 1000, 0);
    UPDATE django_mirrors_fleetversion
    SET number = number + 1, deletions = deletions + 1;
END;
