# SPDX-License-Identifier: Apache-2.0
"""The profiles of 2022 to 2026, most of them of text-to-image models, and what each fixes.

How their papers made images, and what a profile cannot follow, is in
`spade_eval/papers/practices.py`; sources are named there.
"""

from spade_eval.protocol.fields import (
    AS_GENERATED,
    LONG_SIDE_512,
    ORIGINAL_SIZE,
    Cell,
    Protocol,
    cell,
)

RECENT_PROFILES: dict[str, Protocol] = {
    profile.profile: profile
    for profile in (
        Protocol(
            profile="freestylenet",
            about="FreestyleNet and PLACE: 512x512 squares, FID of 256x256",
            fid_profiles=("pytorch-fid-256",),
        ),
        Protocol(
            profile="aldm",
            about="ALDM: 512x512 and 512x1024, the classic segmenters, clean-fid",
            fid_profiles=("clean-fid",),
        ),
        Protocol(
            profile="controlnet-plus-plus",
            about="ControlNet++: mmsegmentation's networks at a short side of 512",
            fid_profiles=("clean-fid",),
        ),
        Protocol(
            profile="ctrl-u",
            about="Ctrl-U: scored as ControlNet++, guided less",
            fid_profiles=("clean-fid",),
        ),
        Protocol(
            profile="controlar",
            about="ControlAR: the same networks at their own short sides, an mIoU of its own",
            fid_profiles=("clean-fid",),
        ),
        Protocol(
            profile="seg2any",
            about="Seg2Any: scored as ControlNet++, FID against photos of the original size",
            fid_profiles=("clean-fid",),
            fid_reference=ORIGINAL_SIZE,
        ),
        # Its script resizes every image to 256x256, which these are, and leaves out what fills no
        # batch of 50: none of 5,000 or 2,000. So it is pytorch-fid.
        Protocol(
            profile="scdm",
            about="SCDM: imaginaire's mIoU on COCO-Stuff, FID of OASIS's script",
        ),
    )
}

_SMALL, _LARGE, _WIDE = (256, 256), (512, 512), (512, 1024)
_MASKS, _DEEPLAB_V3 = "mask2former-swin-l", "deeplab-v3-r101"
# mmsegmentation's pipelines scale the short side to 512, which these squares have; ControlAR's
# keeps the 640 of Mask2Former's own. Its code gives "other" of ADE20K the number of the last class
# and then drops that number's row and column of the confusion matrix: the flag is never scored. Its
# mean, IoU over classes with truth divided by classes with truth or prediction, is "union".
_FLAG = (149,)
RECENT_TABLE: dict[str, dict[str, Cell]] = {
    "cocostuff": {  # size, segmenter, how images enter it, classes in the mean, short sides
        "freestylenet": cell(_LARGE, "deeplab-v2", AS_GENERATED, "target"),
        "controlnet-plus-plus": cell(_LARGE, _DEEPLAB_V3, AS_GENERATED, "union"),
        "ctrl-u": cell(_LARGE, _DEEPLAB_V3, AS_GENERATED, "union"),
        "controlar": cell(_LARGE, _DEEPLAB_V3, AS_GENERATED, "union"),
        "seg2any": cell(_LARGE, _DEEPLAB_V3, AS_GENERATED, "union"),
        "scdm": cell(_SMALL, "deeplab-v2", LONG_SIDE_512, "all"),
    },
    "ade20k": {
        "freestylenet": cell(_LARGE, "upernet101", AS_GENERATED, "all"),
        "aldm": cell(_LARGE, "upernet101", AS_GENERATED, "all"),
        "controlnet-plus-plus": cell(_LARGE, _MASKS, AS_GENERATED, "union"),
        "ctrl-u": cell(_LARGE, _MASKS, AS_GENERATED, "union"),
        "controlar": cell(_LARGE, _MASKS, AS_GENERATED, "union", (640,), left_out=_FLAG),
        "seg2any": cell(_LARGE, _MASKS, AS_GENERATED, "union"),
        "scdm": cell(_SMALL, "upernet101", AS_GENERATED, "all"),
    },
    "cityscapes": {"aldm": cell(_WIDE, "drn-d-105", AS_GENERATED, "union")},
}
