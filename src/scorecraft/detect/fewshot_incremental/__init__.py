"""Few-shot class-incremental learning: eight tricks, each with a switch, and what each does to old and new classes."""

from scorecraft.detect.fewshot_incremental.ablation import (
    run_ablation,
    run_protocol,
    tricks_in_order,
    tricks_left_out,
)
from scorecraft.detect.fewshot_incremental.config import GROUPS, TRICKS, FSCILConfig
from scorecraft.detect.fewshot_incremental.encoder import mlp_encoder, shift_and_noise
from scorecraft.detect.fewshot_incremental.etf import simplex_etf
from scorecraft.detect.fewshot_incremental.losses import dr_loss, nt_xent_loss, supcon_anchors, supcon_loss, unit
from scorecraft.detect.fewshot_incremental.protocol import Session, fscil_protocol
from scorecraft.detect.fewshot_incremental.prototypes import PrototypeClassifier
from scorecraft.detect.fewshot_incremental.pseudo_classes import (
    make_pseudo_classes,
    pseudo_count,
    pseudo_pairs,
    rotation_batch,
)
from scorecraft.detect.fewshot_incremental.report import (
    FSCILReport,
    SessionAccuracy,
    ablation_table,
    session_accuracy,
)
from scorecraft.detect.fewshot_incremental.subnet import select_subnet, tuned_weights
from scorecraft.detect.fewshot_incremental.trainer import FSCILTrainer

__all__ = [
    "GROUPS",
    "TRICKS",
    "FSCILConfig",
    "FSCILReport",
    "FSCILTrainer",
    "PrototypeClassifier",
    "Session",
    "SessionAccuracy",
    "ablation_table",
    "dr_loss",
    "fscil_protocol",
    "make_pseudo_classes",
    "mlp_encoder",
    "nt_xent_loss",
    "pseudo_count",
    "pseudo_pairs",
    "rotation_batch",
    "run_ablation",
    "run_protocol",
    "select_subnet",
    "session_accuracy",
    "shift_and_noise",
    "simplex_etf",
    "supcon_anchors",
    "supcon_loss",
    "tricks_in_order",
    "tricks_left_out",
    "tuned_weights",
    "unit",
]
