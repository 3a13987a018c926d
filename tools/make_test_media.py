"""Make the small videos of the tests anew, with ffmpeg: `python tools/make_test_media.py`."""

from __future__ import annotations

import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "tests" / "unit" / "media"

PICTURE = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=1"]
SOUND = ["-f", "lavfi", "-i", "sine=frequency=440:duration=1"]
SMALL = ["-map_metadata", "-1", "-fflags", "+bitexact", "-pix_fmt", "yuv420p"]

VIDEOS = {
    "h264-aac.mp4": [*PICTURE, *SOUND, "-c:v", "libx264", "-c:a", "aac", "-b:a", "16k", "-movflags", "+faststart"],
    "h264-aac-headers-last.mp4": [*PICTURE, *SOUND, "-c:v", "libx264", "-c:a", "aac", "-b:a", "16k"],
    "h264-silent.mp4": [*PICTURE, "-c:v", "libx264"],
    "h265-aac.mp4": [*PICTURE, *SOUND, "-c:v", "libx265", "-c:a", "aac", "-b:a", "16k"],
    "h264-mp3.mp4": [*PICTURE, *SOUND, "-c:v", "libx264", "-c:a", "libmp3lame", "-b:a", "16k"],
    "h264-two-sounds.mp4": [
        *PICTURE,
        *SOUND,
        *SOUND,
        *("-map", "0", "-map", "1", "-map", "2", "-c:v", "libx264", "-c:a", "aac", "-b:a", "16k"),
    ],
    "sound-only.mp4": [*SOUND, "-c:a", "aac", "-b:a", "16k"],
}


def main() -> None:
    """Make them."""
    FOLDER.mkdir(exist_ok=True)
    for name, arguments in VIDEOS.items():
        subprocess.run(["ffmpeg", "-y", "-loglevel", "error", *arguments, *SMALL, str(FOLDER / name)], check=True)


if __name__ == "__main__":
    main()
