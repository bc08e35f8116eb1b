-- What the layers of an image showed, so that they are read once. Only what is sure: an unknown is asked again.
CREATE TABLE layer_looks (
    engine        INTEGER NOT NULL REFERENCES engines,
    image_id      TEXT NOT NULL,
    rules         INTEGER NOT NULL,            -- by which rules they were read; newer rules read them anew
    found         TEXT NOT NULL,               -- torch, nothing
    path          TEXT NOT NULL DEFAULT '',    -- of its version.py, inside the image
    layer         INTEGER NOT NULL DEFAULT 0,  -- counted from the base, which is 1
    torch_version TEXT,
    accelerator   TEXT,
    PRIMARY KEY (engine, image_id)
) STRICT, WITHOUT ROWID;
