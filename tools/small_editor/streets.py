"""The training streets, which editor and start weights are trained on: they share no colour and no view with the benchmark's."""

from zsda.miniature.street.style import Palette, StreetStyle, read_colours

TRAINING_STREETS = StreetStyle(
    name="training",
    first_seed=2**60,
    palette=Palette(
        plasters=read_colours(
            "#eee0be #ccba8c #dcac5e #be7054 #d8947a #cea6a0 #eccabc #b2c6ae #8a967e #a4bed0 #78889c #f4f2ec #c6cacc "
            "#848688 #8e7e70 #80624e #ecd88c #b6a6bc #a0b296 #e4bc98"
        ),
        bricks=read_colours("#ae5c3e #be8666 #683a30 #8c685c #ccac84 #584242 #a04030 #987a68 #78603c"),
        roofs=read_colours("#a6543a #825440 #62322a #303238 #686a70 #4a5662 #706050 #505e50 #986a4e #3c3832"),
        parapets=read_colours("#c4c0ba #969490 #a29c8c #bab09e #84888e"),
        gables=read_colours("#bcb0a0 #968a76 #c4a080 #ccc8be #8c7060"),
        trims=read_colours("#e2ded6 #bcb6aa #968c7e #acbabe #ece4c8 #6e5442"),
        chimneys=read_colours("#a0624a #764436 #80685c #968c80 #605a58"),
        doors=read_colours(
            "#704a30 #3c281a #1c302c #3e584a #1e2a46 #465878 #8a3028 #56181e #5e5e62 #2c2c2e #baa054 #d2d0c8"
        ),
        door_frames=read_colours("#e6e2da #beb6aa #9e886e #787c80 #604634"),
        cloths=read_colours(
            "#ce3e32 #921c24 #1e503c #4c8654 #1c3670 #5074b0 #e8be54 #de802c #ccc4b2 #f0ece0 #703c68 #40969c"
        ),
        stripes=read_colours("#f6f2ec #dad0bc #f0daa0 #ced6dc"),
        balconies=read_colours("#d6d4ce #aca8a0 #303438 #5e646c #a88a70 #7c5c48 #3c544c"),
        steels=read_colours("#a8aaac #74787c #54585e #3a423e #687054 #3e4a62 #928a76 #303034 #7e6854"),
        leaves=read_colours(
            "#547820 #689040 #305426 #4c643a #7c8e28 #96883c #7a6c24 #34644c #58864e #8e9a4e #a47a2c #3a5840 #607440"
        ),
        barks=read_colours("#6a5442 #4e3a2a #706a62 #58544c #7e6042"),
        walls=read_colours("#aca8a2 #8c867e #707276 #a0a09c #a66c52 #80503e #bcb49e #967c5c #c4946e #786850 #8e969a"),
        planks=read_colours("#94704e #745436 #baa68a #96846c #eae6dc #c8c2b4 #4e3a2a #586c5a #68788c #8c4834"),
        railings=read_colours("#2c3c32 #4e6050 #323438 #5a5c62 #acaeac #828688 #202846 #3e486e #d6d4ce #604230"),
        far_houses=read_colours("#aea8a4 #8e8682 #96a0aa #ac9684 #848e8e"),
        far_trees=read_colours("#50663e #6a825c #687c3c #4c6a5a #7a7850"),
        housings=read_colours("#161618 #323632 #3c3e28 #183024"),
        sign_reds=read_colours("#de302c #bc101e #be2c34 #e61a3c"),
        sign_whites=read_colours("#fefefc #e8e8e2 #e2e6ea #f8ecd6"),
        sign_yellows=read_colours("#face32 #e2ae10 #fad854 #f49e18"),
        sign_blues=read_colours("#104294 #2c68c2 #146096 #3c50b4"),
        directions=read_colours("#face46 #daaa14 #123e88 #3064ba #125a36 #328258 #785434 #f4f4f0"),
        plates=read_colours("#fafaf8 #e0ded4 #f6e296"),
        cars=read_colours(
            "#f0f0f0 #d0d2d2 #eae4d2 #aeb2ba #9aa0a6 #8c8e8e #686c72 #545860 #32363e #181a1e #bc2c30 #92121c #701622 "
            "#ce3e28 #163270 #3252a0 #5480b8 #7ea6c8 #16422c #36684c #809278 #d6b44a #eccc3c #b68c2c #905e3c #643a22 "
            "#e0782c #c4b092 #5c3868 #3c8c92"
        ),
        trucks=read_colours(
            "#f2f2ee #d0cec8 #dc5834 #b03222 #9e1c22 #4e7a56 #2c5036 #36487e #5870ac #78a0c4 #e6c450 #c6a02c #e08a2c "
            "#82848a #a8aab0 #3c3e44 #866a50"
        ),
        buses=read_colours(
            "#eec23c #d29c16 #e87828 #d43634 #ac1624 #1c5c98 #3a84c4 #82b0ce #488230 #6ea850 #286254 #f4f4f0 #cccece "
            "#6c3058 #222c5a"
        ),
        trams=read_colours(
            "#de3a38 #b81a28 #f6de60 #dab830 #2e6e46 #4c9268 #6ea03c #1c4280 #3a68ac #649cc4 #ea822c #6e2c48 #3c3e46"
        ),
        tram_bodies=read_colours("#f6f4ee #dad8d2 #ece0c0 #caced4 #cebe96 #e2dace"),
        tram_roofs=read_colours("#a8aaac #84868c #6c6e74 #b0a496"),
        panes=read_colours("#28323a #424e58 #284842 #3e3c46 #222834 #4e5454"),
        skin=read_colours("#f6ceb2 #dcac8a #be8864 #ac7656 #84543a #704c3a #503226"),
        hands=read_colours("#dcac8a #be8864 #84543a"),
        hair=read_colours("#36281e #0e0c0c #48301e #6a482c #8c6036 #b08648 #d0ac74 #8c8a88 #626060 #c4c0ba #803a22"),
        tops=read_colours(
            "#ce3c3a #a81824 #e05c40 #1c3876 #3e5caa #6e9ccc #1a1c22 #3a3c44 #f0eee6 #d0ccc0 #ecb446 #d08c1e #f0d86e "
            "#246240 #428666 #809654 #5e2e64 #84548e #60646a #82868e #989a9e #dc8096 #be5c74 #ecb0b4 #7a563c #2e828c"
        ),
        trousers=read_colours(
            "#182238 #323c56 #2e3034 #101014 #504636 #6c604e #485676 #5a6e92 #9a9282 #7a7464 #b2aa98 #505446 #585a60"
        ),
        frames=read_colours(
            "#ce3430 #a61824 #144a7e #2e6cb0 #6496be #0a0a0c #2c2e34 #ecece8 #cacac8 #1c7048 #3c9670 #eea034 #d47a12 "
            "#ecce46 #80848a #964678"
        ),
        grass=read_colours("#749a4c #5c8c46 #507030 #707c36 #869e52 #888446 #9ea064 #a4965e #66804e"),
        slabs=read_colours("#c4c0ba #b6a89c #9c9ea0 #8e867e #aa8e7a #bea492 #988674 #a8aaa6 #828080 #b2a284"),
        marks=read_colours("#f2f2ee #d4d4cc #eee4c4 #eac45a #ccd2d8"),
        kerbs=read_colours("#c2c2c0 #a0a0a0 #bab0a2 #929498 #cec6ba"),
    ),
    focal=((0.64, 0.75), (0.99, 1.16)),
    centre=((0.3, 0.355), (0.605, 0.68)),
    horizon=((0.34, 0.395), (0.505, 0.56)),
    eye=((1.15, 1.38), (2.15, 2.8)),
    curve=((-0.0028, -0.0017), (0.0017, 0.0028)),
    shift=((-0.9, -0.52), (0.52, 0.9)),
    bonnet=((8.0, 22.0), (63.0, 120.0)),
    sun=((15.0, 21.0), (59.0, 70.0)),
    sunshine=(0.1, 0.45, 0.6, 0.9, 0.9),
    asphalt=((62.0, 82.0), (120.0, 140.0)),
    tint=((0.92, 0.975), (1.065, 1.12)),
    walks=((1.6, 1.95), (4.6, 6.0)),
)
"""More colours and wider views than the benchmark's, and none of the same."""
