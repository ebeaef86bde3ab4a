"""Where the boxes of calls come from: images, boxes that wait, and pools of them."""
