"""An app server's own metrics: what its workers tell of themselves (measure.cjs)."""
