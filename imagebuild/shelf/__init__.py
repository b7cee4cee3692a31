"""A shelf: artifacts as a static folder that any web server serves, for virt-builder and simplestreams."""
