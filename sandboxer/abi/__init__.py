"""What the kernel calls things: numbers and names from its headers. Tables only; nothing here has behaviour."""

from __future__ import annotations
