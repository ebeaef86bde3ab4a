"""The caller's own systemd: asked over D-Bus for a control group, where the caller's is nobody's to make groups in."""
