"""How production stores static files: compressed, under names that hold a hash of their content."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Rewrites the imports of JavaScript modules too, so that a page never runs modules of two releases."""

    support_js_module_import_aggregation = True
    # One pass for each level of imports; the floor board has nine.
    max_post_process_passes = 20
