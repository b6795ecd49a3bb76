"""The embedded YOLO: distillation from a teacher."""
