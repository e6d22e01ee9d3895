-- The one row of django_mirrors_fleetversion is locked until the writer commits, so
-- that versions become visible in the order of their numbers.
CREATE FUNCTION django_mirrors_count_change(removed bigint) RETURNS bigint AS $$
DECLARE
    counted bigint;
BEGIN
    INSERT INTO django_mirrors_fleetversion (id, number, deletions)
    VALUES (1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0)
    ON CONFLICT DO NOTHING;
    UPDATE django_mirrors_fleetversion
    SET number = number + 1, deletions = deletions + removed
    RETURNING number INTO counted;
    RETURN counted;
END;
$$ LANGUAGE plpgsql;
-- statement
CREATE FUNCTION django_mirrors_record_changed() RETURNS trigger AS $$
BEGIN
    NEW.version := django_mirrors_count_change(0);
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;
-- statement
CREATE FUNCTION django_mirrors_record_deleted() RETURNS trigger AS $$
BEGIN
    PERFORM django_mirrors_count_change(1);
    RETURN NULL;
END;
$$ LANGUAGE plpgsql;
-- statement
CREATE TRIGGER django_mirrors_record_changed
BEFORE INSERT OR UPDATE ON django_mirrors_mirrorrecord
FOR EACH ROW EXECUTE FUNCTION django_mirrors_record_changed();
-- statement
CREATE TRIGGER django_mirrors_record_deleted
AFTER DELETE ON django_mirrors_mirrorrecord
FOR EACH ROW EXECUTE FUNCTION django_mirrors_record_deleted();
