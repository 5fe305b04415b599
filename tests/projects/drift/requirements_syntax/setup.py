from setuptools import setup

setup(name='rank')
