"""Generate the small videos of the tests with ffmpeg: ``python tools/make_test_media.py``."""

from __future__ import annotations

import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "tests" / "unit" / "media"

IMAGES = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=1"]
SOUND = ["-f", "lavfi", "-i", "sine=frequency=440:duration=1"]
SMALL = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-threads", "1"]
AAC = ["-c:a", "aac", "-b:a", "16k"]
FIRST = ["-movflags", "+faststart"]
KEY = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0f" * 16, "-encryption_kid", "1e" * 16]


def h264(profile: str = "main", pixels: str = "yuv420p", b_frames: int = 0) -> list[str]:
    """Return ffmpeg's arguments for an H.264 stream."""
    return ["-c:v", "libx264", "-profile:v", profile, "-pix_fmt", pixels, "-bf", str(b_frames)]


VIDEOS = {
    "h264-aac.mp4": [*IMAGES, *SOUND, *h264(), *AAC, *FIRST],
    "h264-aac-headers-last.mp4": [*IMAGES, *SOUND, *h264(), *AAC],
    "h264-silent.mp4": [*IMAGES, *h264("baseline"), *FIRST],
    "h264-mp3.mp4": [*IMAGES, *SOUND, *h264(), "-c:a", "libmp3lame", "-b:a", "16k", *FIRST],
    "h264-two-sounds.mp4": [
        *(*IMAGES, *SOUND, *SOUND, "-map", "0", "-map", "1", "-map", "2"),
        *(*h264(), *AAC, *FIRST),
    ],
    "h264-high-b-frames.mp4": [*IMAGES, *SOUND, *h264("high", b_frames=2), *AAC, *FIRST],
    "h264-b-frames-fragmented.mp4": [*IMAGES, *h264(b_frames=2), "-movflags", "+frag_keyframe+empty_moov"],
    "h264-ten-bits.mp4": [*IMAGES, *h264("high10", "yuv420p10le"), *FIRST],
    "h264-422.mp4": [*IMAGES, *h264("high422", "yuv422p"), *FIRST],
    "h264-444.mp4": [*IMAGES, *h264("high444", "yuv444p"), *FIRST],
    "h264-encrypted.mp4": [*IMAGES, *SOUND, *h264(), *AAC, *KEY],
    "h265-aac.mp4": [*IMAGES, *SOUND, "-c:v", "libx265", "-pix_fmt", "yuv420p", *AAC, *FIRST],
    "vp9-opus.mp4": [*IMAGES, *SOUND, "-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p", "-c:a", "libopus", "-b:a", "16k"],
    "sound-only.mp4": [*SOUND, *AAC],
}


def main() -> None:
    """Generate all videos."""
    FOLDER.mkdir(exist_ok=True)
    for name, arguments in VIDEOS.items():
        subprocess.run(["ffmpeg", "-y", "-loglevel", "error", *arguments, *SMALL, str(FOLDER / name)], check=True)


if __name__ == "__main__":
    main()
