"""The peer: the same picture on the same slider, drawn with Streamlit's own st.plotly_chart."""

import streamlit as st

from lvmviz import EM, Job, run
from lvmviz.ui import em_films

components = st.slider("Components K", 1, 20, 3)
trace = run(Job(EM(components=components), steps=200, seed=0))
st.plotly_chart(em_films.picture(trace, (0, 1), False).at(len(trace) - 1), theme=None)
