# Two stages each: the first installs and prunes a virtual environment, the second carries it
# and the application and nothing that builds. No training packages, no data, no root.
#
#   docker build .                    TensorFlow executes the networks (the stage keras)
#   docker build --target lean .      ONNX Runtime does: a third of the size and the memory

FROM python:3.11-slim-bookworm AS build

RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY requirements.txt .
RUN pip install --no-cache-dir --no-compile --quiet --disable-pip-version-check \
        --require-hashes -r requirements.txt

# What only building against TensorFlow or debugging it needs goes: C++ headers, static
# libraries, the symbol table (200 MB), and a compiler front end that its metadata names but
# nothing imports. Of imagecodecs (80 MB) the JPEG decoder stays, of the sample films one. pip
# has done its work.
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends binutils >/dev/null \
    && cd /opt/venv/lib/python3.11/site-packages \
    && strip --strip-unneeded tensorflow/*.so.* \
    && rm -rf tensorflow/include clang libclang-*.dist-info numpy/tests numpy/*/tests h5py/tests \
        pynetdicom/tests pynetdicom/benchmarks \
    && find imagecodecs imagecodecs.libs -name '*.so*' ! -name '_shared*' ! -name '_jpeg8*' \
        ! -name 'libjpeg-*' -delete \
    && find . -name '*.a' -delete \
    && find data_store/data -type f ! -name RG1_J2KI.dcm -delete \
    && pip uninstall --quiet --yes setuptools pip

WORKDIR /srv/xray
COPY LICENSE gunicorn.conf.py ./
COPY app app
COPY cxr cxr
COPY static static
COPY templates templates
COPY models models
# Reads the sample film and loads every bundle: an image that could not serve is not built,
# and the bytecode of all that serving imports, and of nothing else, is in it. Nothing could
# write it later, on a read-only file system.
RUN TF_CPP_MIN_LOG_LEVEL=2 python -c "\
import app.api, app.web, app.pacs.node, app.pacs.page, app.pacs.pull, gunicorn.app.wsgiapp, gunicorn.workers.gthread, pathlib; \
from app.pacs.results import capture, presentation, report; \
from app.sample import sample_path; \
from imagecodecs import jpeg8_decode; \
from cxr.bundle import list_bundles, load_bundle; \
from cxr.decode import decode; \
from cxr.gate import load_gate; \
print(decode(sample_path().read_bytes()).dicom); \
print([load_bundle(path).name for path in list_bundles(pathlib.Path('models'))]); \
print(load_gate(pathlib.Path('models/gate')).version)" \
    && python -m compileall -q app cxr


FROM python:3.11-slim-bookworm AS lean-build

RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY requirements-lean.txt .
RUN pip install --no-cache-dir --no-compile --quiet --disable-pip-version-check \
        --require-hashes -r requirements-lean.txt

# What only developing with a package needs goes. Of imagecodecs (80 MB) the JPEG decoder stays,
# of the sample films one.
RUN cd /opt/venv/lib/python3.11/site-packages \
    && rm -rf numpy/tests numpy/*/tests numpy/_core/include numpy/f2py \
        onnxruntime/tools onnxruntime/transformers onnxruntime/quantization \
        onnxruntime/datasets pynetdicom/tests pynetdicom/benchmarks \
    && find imagecodecs imagecodecs.libs -name '*.so*' ! -name '_shared*' ! -name '_jpeg8*' \
        ! -name 'libjpeg-*' -delete \
    && find . -name '*.a' -delete \
    && find data_store/data -type f ! -name RG1_J2KI.dcm -delete \
    && pip uninstall --quiet --yes setuptools pip

WORKDIR /srv/xray
COPY LICENSE gunicorn.conf.py ./
COPY app app
COPY cxr cxr
COPY static static
COPY templates templates
COPY models models
RUN python -c "\
import app.api, app.web, app.pacs.node, app.pacs.page, app.pacs.pull, gunicorn.app.wsgiapp, gunicorn.workers.gthread, pathlib; \
from app.pacs.results import capture, presentation, report; \
from app.sample import sample_path; \
from imagecodecs import jpeg8_decode; \
from cxr.bundle import list_bundles, load_bundle; \
from cxr.decode import decode; \
from cxr.gate import load_gate; \
print(decode(sample_path().read_bytes()).dicom); \
print(load_gate(pathlib.Path('models/gate'), 'lean').version); \
print([load_bundle(path, 'lean').name for path in list_bundles(pathlib.Path('models'))])" \
    && python -m compileall -q app cxr \
    && find models -name model.keras -delete


FROM python:3.11-slim-bookworm AS lean

# A volume mounted on the spool belongs to the user.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin xray \
    && install -d -o xray -g xray -m 700 /var/spool/xray
COPY --from=lean-build /opt/venv /opt/venv
COPY --from=lean-build /srv/xray /srv/xray

WORKDIR /srv/xray
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XRAY_ENGINE=lean \
    HOME=/tmp \
    HOST=0.0.0.0 \
    PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/readyz', timeout=4)"]
CMD ["gunicorn", "app:create_app()"]


FROM python:3.11-slim-bookworm AS keras

# A volume mounted on the spool belongs to the user.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin xray \
    && install -d -o xray -g xray -m 700 /var/spool/xray
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/xray /srv/xray

WORKDIR /srv/xray
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    HOME=/tmp \
    HOST=0.0.0.0 \
    PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/readyz', timeout=4)"]
CMD ["gunicorn", "app:create_app()"]
