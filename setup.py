"""Install gsc_ros; its name, version, text and people are read from package.xml."""

from glob import glob
from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

NODES = ['decoder', 'detector', 'encoder', 'link', 'link_base', 'link_robot', 'player', 'recorder']

manifest = ElementTree.parse(Path(__file__).parent / 'package.xml').getroot()
maintainer = manifest.find('maintainer')
name = manifest.findtext('name')

# Whatever is not code below the package is data that code reads: checkpoints, tables, settings.
data = [str(file.relative_to(name)) for file in Path(name).rglob('*')
        if file.is_file() and file.suffix != '.py' and '__pycache__' not in file.parts]

setup(
    name=name,
    version=manifest.findtext('version'),
    description=' '.join(manifest.findtext('description').split()),
    license=manifest.findtext('license'),
    maintainer=maintainer.text,
    maintainer_email=maintainer.get('email'),
    packages=find_packages(include=['gsc_ros', 'gsc_ros.*']),
    package_data={name: data},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{name}']),
        (f'share/{name}', ['package.xml']),
        (f'share/{name}/launch', sorted(glob('launch/*.py'))),
        (f'share/{name}/config', sorted(glob('config/*.yaml'))),
        (f'share/{name}/rviz', sorted(glob('rviz/*.rviz'))),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=False,
    entry_points={
        'console_scripts': [
            'gsc = gsc_ros.cli:main',
            *(f'{node}_node = gsc_ros.nodes.{node}_node:main' for node in NODES),
        ],
    },
)
