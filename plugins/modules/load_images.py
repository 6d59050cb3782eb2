"""The documentation of the action load_images."""

DOCUMENTATION = """
module: load_images
short_description: Loads images from the control machine into MicroK8s
description:
  - Copies archives to a host and waits until its containerd has loaded them.
  - Does not copy an image again that was loaded from the same archive before and still exists.
options:
  images:
    type: list
    elements: dict
    required: true
    description: The images.
    suboptions:
      reference:
        type: str
        required: true
        description: The full name of the image in its archive.
      file:
        type: path
        required: true
        description: The archive on the control machine.
  keep:
    type: bool
    default: false
    description:
      - Whether these images are kept when the disk is nearly full and no pod uses them.
      - Earlier versions of them, and images of an earlier bundle, are no longer protected.
  timeout:
    type: int
    default: 600
    description:
      - Seconds that loading may take. 0 does not wait, which is needed before MicroK8s is installed.
      - Without waiting, O(keep) has an effect only if containerd has loaded all images.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It reports which images would be loaded.
"""

EXAMPLES = """
- homeserver.stack.load_images:
    images:
      - reference: docker.io/library/hello:1.0
        file: /tmp/hello.tar
"""

RETURN = """
loaded:
  description: The images that were missing before.
  type: list
  elements: str
  returned: always
references:
  description: All images, which are loaded or waiting to be loaded.
  type: list
  elements: str
  returned: always
waiting:
  description: The copied images that containerd has not loaded yet.
  type: list
  elements: str
  returned: always
"""
