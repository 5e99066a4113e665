"""The peer: the same picture on the same slider, drawn with Streamlit's own st.plotly_chart."""

import streamlit as st

from lvmviz import EM, Iris, Job, run, summaries
from lvmviz.figures import mixtures

components = st.slider("Components K", 1, 20, 3)
trace = run(Job(EM(data=Iris(), components=components), steps=200, seed=0))
table = Iris().table()
film = mixtures.picture(**summaries.picture(trace), dark=False, height=318)
st.plotly_chart(film.at(len(trace) - 1), theme=None)
