# SPDX-License-Identifier: Apache-2.0
"""How much a file of somebody else may ask for: every limit, with its reason.

A file that passes one is refused in one line that names the limit, before its memory or time is
spent. Plain numbers, without torch, for whoever reads files.
"""

# JSON and TOML. No file of the suite nests deeper than 6; what reads them afterwards recurses.
DEEPEST_NESTING = 20
LARGEST_INTEGER = 2**63 - 1  # what arrays and records hold
# A description of 65,535 classes with names, values and colours has 4 MB.
MOST_TOML_BYTES = 8 << 20
# Parts of a dotted TOML key, of which the reader's time grows with the square; the suite has 1.
MOST_KEY_PARTS = 20

# Zip files (.npz, .pth, bundles). Deflate packs zeros 1000 : 1, arrays of counts 40 : 1 and weights
# not at all: an archive that unpacks to more than the grace and 100 times its size is a bomb.
MOST_UNPACKING = 100
UNPACKING_GRACE = 64 << 20

# Pickles of `torch.save`. The training history of mmsegmentation, the longest that is known, has
# 13 MB of text in them; 2 million instructions are those of 80,000 tensors, and take 2 s.
MOST_PICKLE_BYTES = 64 << 20
MOST_PICKLE_STEPS = 2_000_000
MOST_DIMENSIONS = 64  # of a tensor; torch's own limit
# Tensors may share storage (tied weights, a network and its average): with all of their elements
# counted, they are so many times what is stored. The grace lets small files share as they like.
MOST_SHARING = 4
SHARING_GRACE = 1 << 20  # bytes
# Values of a training state in lists and dictionaries, each as often as it is named. The largest
# network of the suite has 2,000 tensors in its state, and some 20 values a group of parameters.
MOST_STATE_VALUES = 1_000_000

# Header of a safetensors file: 100 bytes a tensor, and the description.
MOST_HEADER_BYTES = 16 << 20

# Networks. Every number of a description may be so many times what any preset of the network and
# its defaults need: each layer takes a fraction of a millisecond to build, whatever its width.
MOST_TIMES_PRESET = 16
MOST_LABELS = (1 << 16) + 2  # every value of a 16-bit label map, "unknown" and edges

# Weights. An Adam step moves a weight by about its learning rate, which is far below 1, and adding
# less than 1 to a float32 of 2^24 leaves it as it is: no training arrives beyond.
LARGEST_WEIGHT = float(1 << 24)

# Pipelines of Hugging Face diffusers. FLUX.1 with its text encoders and a ControlNet has 40 GB in
# half precision; a tokenizer's vocabulary is the largest JSON, which its own library reads.
MOST_PIPELINE_BYTES = 200 << 30
MOST_CONFIG_BYTES = 1 << 20
# Captions of 300,000 images, of 200 letters.
MOST_CAPTION_BYTES = 64 << 20

# Images. Pillow refuses more than 179 megapixels; uncompressed and of 16 bits a channel, such a
# photo has 1.07 GB.
MOST_IMAGE_BYTES = 1100 << 20
# Of all threads of a process together; a larger image is decoded alone. Decoded, converted and as
# an array, a pixel takes up to 10 bytes.
MOST_BYTES_READ_AT_ONCE = 1 << 30
MOST_PIXELS_AT_ONCE = 100_000_000

# A Hugging Face model whose features are compared. Weights: some times those of the largest that
# such distances were made of. The widest, ViT-g, has 1536 numbers a position, and 40 blocks of it.
MOST_MODEL_BYTES = 16 << 30
LONGEST_MODEL_CONFIG = 1 << 20  # bytes of its config.json, which has some thousand
WIDEST_MODEL = 1 << 14
DEEPEST_MODEL = 512  # blocks
MOST_TIMES_WIDE = 16  # a block's inner width in its own; usual is 4
LARGEST_MODEL_INPUT = 1 << 11  # pixels a side; DINOv2's largest is 518
MOST_MODEL_PATCHES = 1 << 12  # of an image: attention takes their square; at 518 a ViT/14 has 1,369

# The painting page. A photo of 24 megapixels has less than 16 MB as JPEG, a label map of that size
# less than 2 MB as PNG. What a page paints on is 512x1024 at most in any published setting.
MOST_UPLOAD_BYTES = 16 << 20
MOST_UPLOAD_PIXELS = 25_000_000
MOST_PAINTED_PIXELS = 1 << 20
MOST_PHOTOS_HELD = 16  # that were opened for their style, at the size that is painted at
