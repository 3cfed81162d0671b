"""``ranvier run``: what a frozen network says of sound, of clips, or of a microphone."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from ranvier.cli.encode import whole
from ranvier.cli.output import say
from ranvier.cli.report import NETWORK
from ranvier.escape import escape_controls

STANDARD_INPUT = "-"


def add_run(commands: Any) -> None:
    """Its options."""
    run = commands.add_parser(
        "run",
        help="classify sound files or clips, or follow a microphone",
        description="Run a frozen network and print a line for each sound file or clip: the class, and by how much its "
        "score leads as a share of all scores. Sound passes the ear that the network was trained with (whole clips or "
        "streaming); which one is printed. With - raw 16-bit little-endian sound (or WAV) is followed on standard "
        "input, through the streaming ear, and a decision is printed as soon as it is stable: where the utterance "
        "begins, the class, its lead, and the time since the last sound that the decision rests on. "
        "arecord -f S16_LE -r 48000 | ranvier run digits -",
        allow_abbrev=False,
    )
    run.add_argument("network", metavar="NETWORK", help=NETWORK)
    run.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="sound files and folders, recordings in SHD's format, or clips of events (t, x) in .npz, .npy, .h5 or "
        ".csv; or - alone",
    )
    run.add_argument("--clips", metavar="LIST", help="clips of the recording, as 0,5,7-9 (default: all)")
    run.add_argument(
        "--time-unit",
        choices=("s", "ms", "us"),
        help="unit of a recording's times (default: what it says, else s, up to 60 s a clip)",
    )
    run.add_argument(
        "--ear",
        choices=("clip", "streaming"),
        help="ear for sound files (default: the one that the network's run names; a network alone names none)",
    )
    run.add_argument(
        "--rate",
        metavar="HZ",
        type=whole,
        help="samples per second on standard input, 8000 ... 192000 (default: 48000)",
    )
    run.add_argument("--seed", metavar="N", type=whole, default=0, help="of the ear's nerve fibres (default: 0)")
    run.add_argument("--json", action="store_true", help="print a line of JSON for each")


def run_run(options: argparse.Namespace) -> int:
    """Classify and print; returns the exit code."""
    from ranvier.recipes.classify import choose_ear, classify_clips, classify_sounds, is_recording, trained_ear
    from ranvier.recipes.config import ConfigError
    from ranvier.recipes.evaluation import read_network
    from ranvier.recipes.pretrained import find_run

    place = find_run(options.network)
    network = read_network(place)
    if STANDARD_INPUT in options.inputs:
        return _follow(options, place)
    if options.rate is not None:
        raise ConfigError("--rate: is for sound on standard input (-); a file says its own")
    places = [Path(name) for name in options.inputs]
    recordings = [one for one in places if is_recording(one)]
    sounds = [one for one in places if one not in recordings]
    if options.clips is not None and (sounds or len(recordings) != 1):
        raise ConfigError("--clips: is for one recording in SHD's format, and nothing else")
    if options.time_unit is not None and not recordings:
        raise ConfigError("--time-unit: is for recordings in SHD's format and files of events; sound says its own")
    alone = len(places) == 1
    for recording in recordings:
        for said in classify_clips(network, recording, options.clips, options.time_unit, alone=alone):
            _print(said.as_dict(), options.json, f"{said.input} {said.clip}  {said.name}  margin {said.margin:.2f}")
    if sounds:
        form = choose_ear(trained_ear(place), options.ear)
        for number, said in enumerate(classify_sounds(network, sounds, form, seed=options.seed)):
            if number == 0:
                _note(f"ear: {form}")
            facts = {**said.as_dict(), "ear": form}
            _print(facts, options.json, f"{said.input}  {said.name}  margin {said.margin:.2f}")
    return 0


def _follow(options: argparse.Namespace, place: Path) -> int:
    """Sound on standard input."""
    from ranvier.audio.ear import StreamingEar
    from ranvier.audio.pcm import RAW_RATE, open_pcm
    from ranvier.recipes.classify import follow, trained_ear, warm_up
    from ranvier.recipes.config import ConfigError
    from ranvier.recipes.evaluation import read_network

    for flag, wrong in (
        ("--clips", options.clips is not None),
        ("--time-unit", options.time_unit is not None),
        ("--ear clip", options.ear == "clip"),
        (f"{len(options.inputs)} inputs", len(options.inputs) > 1),
    ):
        if wrong:
            raise ConfigError(f"{flag}: is not allowed with standard input (-), which the streaming ear alone encodes")
    if os.isatty(0):
        raise ConfigError("standard input is a terminal: arecord -f S16_LE -r 48000 | ranvier run NETWORK -")
    network = read_network(place)
    ear = StreamingEar(channels=network.input.channels)
    ear.stream(RAW_RATE if options.rate is None else options.rate, seed=options.seed)  # refuses before it waits
    warm_up(network)
    sound = open_pcm(lambda size: os.read(0, size), rate=options.rate)
    _note(f"ear: streaming, {ear.latency_ms(sound.rate):.0f} ms, {sound.rate} samples per second")
    if trained_ear(place) == "clip":
        _note("the network was trained on whole clips, not on those of the streaming ear: it will err more")
    for timed in follow(network, sound, seed=options.seed):
        decision = timed.decision
        lead = f"margin {decision.margin:.2f}  latency {timed.latency_ms:.0f} ms"
        line = f"{decision.begin_s:8.2f} s  {decision.name}  {lead}"
        _print(timed.as_dict(), options.json, line)
    return 0


def _print(facts: dict[str, Any], as_json: bool, line: str) -> None:
    if as_json:
        print(json.dumps(facts), flush=True)
    else:
        say(line)
        sys.stdout.flush()


def _note(text: str) -> None:
    print(f"ranvier: {escape_controls(text)}", file=sys.stderr)
