"""A person's own images for a VAE: from npz, IDX or picture files, kept on the computer that runs lvmviz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from lvmviz.image_sets import put_images
from lvmviz.images import MAX_PIXELS, MAX_SIDE, ImageError, Images, read_idx, read_npz, read_pictures
from lvmviz.own_data import StoreError
from lvmviz.ui import frame, state

_FILES, _FAULT = "lvmviz.images.files", "lvmviz.images.fault"


def own_images(name: str) -> Mapping[str, Any]:
    """Load images; the values of `StoredImages`."""
    key = f"own_images_{state.placed(f'{name}.digest')[:12]}"
    with st.popover("Load images", icon=":material/image:", width="stretch", key=key):
        st.file_uploader(
            "npz, IDX files, or pictures",
            key=_FILES,
            accept_multiple_files=True,
            on_change=_take,
            args=(name,),
        )
        if fault := st.session_state.get(_FAULT):
            frame.failed(fault)
        st.caption(
            f"Grey images of one size, at most {MAX_SIDE} × {MAX_SIDE} pixels, {MAX_PIXELS // 10**6} million "
            "pixels in all. They stay on the computer that runs lvmviz."
        )
    return {"digest": state.placed(f"{name}.digest")}


def _take(name: str) -> None:
    """Read and keep them; on a fault say so and keep what was there."""
    files = {file.name: file.getvalue() for file in st.session_state[_FILES] or ()}
    st.session_state[_FAULT] = None
    if not files:
        return
    try:
        state.place(f"{name}.digest", put_images(read(files)))
    except (ImageError, StoreError) as fault:
        st.session_state[_FAULT] = str(fault)


def read(files: Mapping[str, bytes]) -> Images:
    """The images in some files: one npz, IDX images with or without labels, or a picture a file."""
    names = sorted(files)
    archives = [name for name in names if files[name][:2] == b"PK" or name.lower().endswith(".npz")]
    if archives and len(files) > 1:
        raise ImageError(f"{archives[0]} is an archive: choose it alone")
    if archives:
        return read_npz(files[names[0]], names[0])
    if _all_idx(list(files.values())):
        labels = next((name for name in names if "label" in name.lower()), None)
        images = [name for name in names if name != labels]
        if len(images) != 1:
            raise ImageError(f"{', '.join(names)}: choose one IDX file of images, and its labels beside it")
        return read_idx(files[images[0]], files[labels] if labels else None, images[0])
    return read_pictures(files)


def _all_idx(contents: Sequence[bytes]) -> bool:
    """Whether these are IDX files, gzipped or not: pictures begin otherwise."""
    return len(contents) <= 2 and all(data[:2] in (b"\x1f\x8b", b"\x00\x00") for data in contents)
