"""The documentation of the action load_images."""

DOCUMENTATION = """
module: load_images
short_description: Load images from the control machine into MicroK8s
description:
  - Copies archives to a host and waits until its containerd has loaded them.
  - An image that was loaded from the same archive before, and is still there, is not copied again.
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
      - Whether these images stay when the disk is nearly full and no pod uses them.
      - Those that an earlier call kept, and are none of these, stay no longer.
  timeout:
    type: int
    default: 600
    description:
      - How many seconds loading may take. 0 does not wait, as for a MicroK8s that will be installed.
      - Then images are kept only if containerd has loaded all of them.
author: The homeserver.stack maintainers
attributes:
  check_mode:
    support: full
    description: It tells whether anything would be loaded.
"""

EXAMPLES = """
- homeserver.stack.load_images:
    images:
      - reference: docker.io/library/hello:1.0
        file: /tmp/hello.tar
"""

RETURN = """
loaded:
  description: The images that were not there before.
  type: list
  elements: str
  returned: always
waiting:
  description: The images that are copied, and that containerd has yet to load.
  type: list
  elements: str
  returned: always
"""
