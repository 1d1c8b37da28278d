"""Prints what tensorboard itself reads of a folder of event files: {tag: [[step, value], ...]} as JSON."""
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})  # 0: all of them
events.Reload()
scalars = {tag: [[one.step, one.value] for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
json.dump(scalars, sys.stdout)
