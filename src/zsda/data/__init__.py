"""Images, labels and the loaders above them."""

import os

# albumentations would ask the package registry for a newer version when it is imported, which delays and warns where there is no network.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
