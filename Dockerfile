# Two stages: the first installs and prunes a virtual environment, the second carries it and
# the application and nothing that builds. No training packages, no data, no root.

FROM python:3.11-slim-bookworm AS build

RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements.txt .
RUN pip install --no-cache-dir --no-compile --quiet --disable-pip-version-check \
        --require-hashes -r requirements.txt

# TensorFlow's wheel carries what only building against it needs (C++ headers, static
# libraries), names a compiler front end that nothing here imports, and packages ship
# their own tests. pip has done its work.
RUN cd /opt/venv/lib/python3.11/site-packages \
    && rm -rf tensorflow/include clang libclang-*.dist-info numpy/tests numpy/*/tests h5py/tests \
    && find . -name '*.a' -delete \
    && pip uninstall --quiet --yes setuptools pip

WORKDIR /srv/xray
COPY app app
COPY cxr cxr
# The file system is read-only at run time: write the bytecode of what serving imports now,
# and of nothing else.
RUN python -c "import app, cxr.bundle, gunicorn.app.wsgiapp, gunicorn.workers.gthread" \
    && python -m compileall -q app cxr


FROM python:3.11-slim-bookworm

RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin xray
COPY --from=build /opt/venv /opt/venv

WORKDIR /srv/xray
COPY LICENSE gunicorn.conf.py ./
COPY models models
COPY templates templates
COPY static static
COPY --from=build /srv/xray ./

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    HOST=0.0.0.0 \
    PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/readyz\", timeout=4)"]
CMD ["gunicorn", "app:create_app()"]
