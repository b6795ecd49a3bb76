"""Evaluation worker: measures items one at a time."""
from __future__ import annotations

from gsc_ros.codec.errors import BudgetError, GscError, InvalidInputError, PacketError
from gsc_ros.evaluation.clips import measure_segment
from gsc_ros.evaluation.instruments import Instruments
from gsc_ros.evaluation.stills import measure_still
from gsc_ros.evaluation.work import Item, Result, WorkSettings


class EvaluationWorker:
    """Measures one item at a time, with networks that stay loaded."""

    def __init__(self, settings: WorkSettings, threads: int = 2) -> None:
        self._tools = Instruments(settings, threads)

    def measure(self, item: Item) -> Result:
        """Do all tasks of an item; an error becomes the problem of the result."""
        try:
            return (measure_segment if item.judged else measure_still)(self._tools, item)
        except (InvalidInputError, PacketError, BudgetError) as error:
            return Result(problem=str(error))
        except GscError as error:
            return Result(problem=str(error), fatal=True)
