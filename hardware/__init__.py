"""Robots and cameras as Toolwright sees them: protocols, joints, the control path."""
