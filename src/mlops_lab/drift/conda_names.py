"""What conda's packages are called on the package index; many are no Python packages, or only share a name with one.

Names that are in neither table are the same on both sides. Source: the recipes of conda-forge (the `about` and `source`
of https://github.com/conda-forge, one feedstock each), and of the channels `pytorch` and `nvidia`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_lab.manifests.pyproject import normalized

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COUNTED", "NAMES", "NO_PYTHON", "on_index"]

NAMES: Mapping[str, str] = {
    "airflow": "apache-airflow",
    "astropy-base": "astropy",
    "brotli-python": "brotli",
    "cupy-core": "cupy",
    "dask-core": "dask",
    "docker-py": "docker",
    "faiss": "faiss-cpu",
    "geopandas-base": "geopandas",
    "gurobi": "gurobipy",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "opencv": "opencv-python",
    "py-opencv": "opencv-python",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "py-xgboost-gpu": "xgboost",
    "pyarrow-core": "pyarrow",
    "pyg": "torch-geometric",
    "pyqt": "pyqt5",
    "pytables": "tables",
    "python-annoy": "annoy",
    "python-blosc": "blosc",
    "python-blosc2": "blosc2",
    "python-confluent-kafka": "confluent-kafka",
    "python-duckdb": "duckdb",
    "python-flatbuffers": "flatbuffers",
    "python-graphviz": "graphviz",
    "python-igraph": "igraph",
    "python-kaleido": "kaleido",
    "python-kubernetes": "kubernetes",
    "python-lmdb": "lmdb",
    "python-tzdata": "tzdata",
    "python-xxhash": "xxhash",
    "python-zstd": "zstd",
    "pytorch": "torch",
    "pytorch-cluster": "torch-cluster",
    "pytorch-cpu": "torch",
    "pytorch-geometric": "torch-geometric",
    "pytorch-gpu": "torch",
    "pytorch-scatter": "torch-scatter",
    "pytorch-sparse": "torch-sparse",
    "pytorch-spline-conv": "torch-spline-conv",
    "ray-core": "ray",
    "ray-dashboard": "ray",
    "ray-data": "ray",
    "ray-default": "ray",
    "ray-rllib": "ray",
    "ray-serve": "ray",
    "ray-train": "ray",
    "ray-tune": "ray",
    "redis-py": "redis",
    "seaborn-base": "seaborn",
    "sentencepiece-python": "sentencepiece",
    "snakemake-minimal": "snakemake",
    "spacy-model-en-core-web-lg": "en-core-web-lg",
    "spacy-model-en-core-web-md": "en-core-web-md",
    "spacy-model-en-core-web-sm": "en-core-web-sm",
    "tensorflow-base": "tensorflow",
    "tensorflow-cpu": "tensorflow",
    "tensorflow-gpu": "tensorflow",
    "uvicorn-standard": "uvicorn",
}
"""Conda's name, normalised → the index' name."""

_NO_PYTHON = """
anaconda boa conda conda-build cpython mamba micromamba nomkl pypy python python-abi python.app
autoconf automake binutils bison c-compiler ccache clang clangxx cmake compilers cxx-compiler dotnet flex fortran-
compiler gcc gcc-linux-64 gfortran go gradle gxx gxx-linux-64 julia libtool lld llvm lua m4 make maven ninja nodejs
npm openjdk perl pkg-config r-base ruby rust sbt scala swig typescript yarn
blas boost boost-cpp cmdstan coin-or-cbc coincbc cpuonly cuda cuda-nvcc cuda-toolkit cuda-version cudatoolkit
cudatoolkit-dev cudnn cutensor eigen fftw glpk gmp gsl igraph intel-openmp ipopt liblinear libsvm magma metis mkl
mkl-devel mkl-include mpc mpfr mpi mpich nccl openblas openmpi pytorch-cuda pytorch-mutex suitesparse tbb tbb-devel
arrow-cpp blosc brotli bzip2 c-blosc2 ca-certificates cairo curl expat ffmpeg flatbuffers freetype gdbm geos
ghostscript glib grpc-cpp gtk3 hdf5 icu imagemagick jpeg kaleido-core krb5 leptonica leveldb libarrow libblas
libcurl libffi libgcc-ng libgdal libgomp libgrpc liblapack libmagic libnetcdf libopencv libpng libprotobuf
libsndfile libspatialindex libstdcxx-ng libta-lib libtiff libxml2 libyaml libzlib lmdb lz4-c ncurses openssl pandoc
pango poppler portaudio proj qt qt-main re2 readline rocksdb snappy sox sqlite tesseract thrift-cpp tk tzdata ucrt
unixodbc vc vs2015-runtime x264 xz yaml zeromq zlib zstd
bash bcftools bedtools blast bwa exiftool fzf geckodriver gh git git-lfs google-cloud-sdk graphviz helm htop jq
kubectl kubernetes kubernetes-client kubernetes-server memcached mongodb mysql nextflow nginx nltk-data plotly-orca
postgresql rabbitmq-server redis redis-server ripgrep rsync samtools tar tectonic terraform texlive-core tmux unzip
vim wget zip
"""
NO_PYTHON = frozenset(_NO_PYTHON.split())
"""What is no Python package: the interpreter, compilers, CUDA, libraries in C, programs, servers.

Several share their name with a Python package that is another project, or has other versions: `graphviz`, `redis`."""

_FAMILIES = ("r-", "bioconductor-", "xorg-", "m2-", "m2w64-", "msys2-", "perl-", "font-ttf-", "sysroot-", "cuda-")
"""What names of whole families begin with: packages of R, Perl and X, tools of Windows, parts of CUDA."""

COUNTED = frozenset({"opencv-python"})
"""What has one number more on the index: 4.8.1 of conda is 4.8.1.78 there."""


def on_index(name: str, own: Mapping[str, str]) -> str:
    """What a package of conda's is called on the index; empty for what is no Python package.

    Args:
        name: Conda's name.
        own: What the project says of its own packages: conda's name → the index' name, or nothing.
    """
    known = normalized(name)
    if known in own:
        return normalized(own[known])
    if known in NO_PYTHON or name.startswith("_") or known.startswith(_FAMILIES):
        return ""
    return NAMES.get(known, known)
