-- A crawl goes on when collections change places.
CREATE TRIGGER crawls_follow_collections AFTER UPDATE OF name ON collections BEGIN
    UPDATE crawls SET collection = NEW.name WHERE database = OLD.database AND collection = OLD.name;
END;
