"""The common sockets: a slug of these needs no definition of its own. As the wire has it, by slug.

Every row is a fact of Grand Challenge (slug, kind, relative path; title and description where they were told), seen in
what it sent or in the templates that it made for its challenges:

- its own defaults: components/apps.py of DIAGNijmegen/rse-grand-challenge; ct-image: its documentation's FAQ
- PI-CAI: the answer of its API in tests/algorithms_tests/test_views.py of the same repository
- PANORAMA, PUMA, ACOUSLIC-AI, LEOPARD, MIDOG 2025: predictions.json (jobs as its API lists them) of
  DIAGNijmegen/PANORAMA_gc_evaluator, tueimage/PUMA-challenge-eval-track1, DIAGNijmegen/ACOUSLIC-AI-evaluation-method,
  DIAGNijmegen/LEOPARD-challenge-evaluation-method, DeepMicroscopy/MIDOG25_T1_evaluation_docker and …_T2_…
- MONKEY, JustRAIGS, RARE 2025, SurgVU 2025, REG 2026, AI4Life 2025, SELMA3D 2026, ISLES 2026, HANCOTHON 2025,
  CHIMERA-Agent: inputs.json and predictions.json of their templates
- TopCoW: its submission template; CHIMERA, ToothFairy, corneal endothelium: handlers of the generated inference.py

Every row is what it is there, or a container would not find its files: of segmentations only those whose segments are
told, and no `generic-medical-image`, which lies at the root of /input there, where no socket may lie here.
"""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def _image(path: str, title: str | None = None, description: str | None = None, kind: str = "Image") -> Row:
    return _row(kind, f"images/{path}", title, description)


def _json(path: str, kind: str, title: str | None = None, description: str | None = None) -> Row:
    return _row(kind, f"{path}.json", title, description)


def _row(kind: str, path: str, title: str | None = None, description: str | None = None) -> Row:
    told = {"title": title, "description": description}
    return {
        "kind": kind,
        "relativePath": path,
        **{key: text for key, text in told.items() if text is not None},
    }


CATALOGUE: dict[str, Row] = {
    "results-json-file": _json("results", "Anything", "Results JSON File"),
    # Radiology, in
    "ct-image": _image("ct"),
    "cbct-image": _image("cbct"),
    "venous-phase-ct-scan": _image(
        "venous-ct",
        "Venous phase CT scan",
        "A contrast-enhanced CT scan in the venous phase and axial reconstruction",
    ),
    "head-ct-angiography": _image("head-ct-angio", "Head CT Angiography"),
    "head-mr-angiography": _image("head-mr-angio", "Head MR Angiography"),
    "t1-brain-mri": _image("t1-brain-mri"),
    "stroke-metadata": _json("stroke-metadata", "Anything"),
    "coronal-t2-prostate-mri": _image(
        "coronal-t2-prostate-mri", "Coronal T2 Prostate MRI", "Coronal T2 MRI of the Prostate"
    ),
    "transverse-t2-prostate-mri": _image(
        "transverse-t2-prostate-mri", "Transverse T2 Prostate MRI", "Transverse T2 MRI of the Prostate"
    ),
    "sagittal-t2-prostate-mri": _image(
        "sagittal-t2-prostate-mri", "Sagittal T2 Prostate MRI", "Sagittal T2 MRI of the Prostate"
    ),
    "transverse-hbv-prostate-mri": _image(
        "transverse-hbv-prostate-mri", "Transverse HBV Prostate MRI", "Transverse High B-Value Prostate MRI"
    ),
    "transverse-adc-prostate-mri": _image(
        "transverse-adc-prostate-mri",
        "Transverse ADC Prostate MRI",
        "Transverse Apparent Diffusion Coefficient Prostate MRI",
    ),
    "clinical-information-prostate-mri": _json(
        "clinical-information-prostate-mri", "Anything", "Clinical Information Prostate MRI"
    ),
    "axial-t2-prostate-mri": _image("axial-t2-prostate-mri"),
    "axial-adc-prostate-mri": _image("axial-adc-prostate-mri"),
    "axial-dwi-prostate-mri": _image("axial-dwi-prostate-mri"),
    "transverse-dce-prostate-mri": _image("transverse-dce-prostate-mri"),
    "stacked-fetal-ultrasound": _image("stacked-fetal-ultrasound"),
    # Radiology, out
    "prostate-cancer-likelihood": _json(
        "cspca-case-level-likelihood",
        "Float",
        "Case-level Cancer Likelihood Prostate MRI",
        "Case-level likelihood of harboring clinically significant prostate cancer, in range [0,1].",
    ),
    "cspca-detection-map": _image(
        "cspca-detection-map", "Transverse Cancer Detection Map Prostate MRI", kind="Heat Map"
    ),
    "pdac-likelihood": _json("pdac-likelihood", "Float", "PDAC Likelihood"),
    "pdac-detection-map": _image("pdac-detection-map", "PDAC Detection Map", kind="Heat Map"),
    "fetal-abdomen-frame-number": _json("fetal-abdomen-frame-number", "Integer"),
    # Pathology, in
    "prostatectomy-tissue-whole-slide-image": _image("prostatectomy-wsi"),
    "kidney-transplant-biopsy": _image("kidney-transplant-biopsy-wsi-pas"),
    "melanoma-whole-slide-image": _image(
        "melanoma-wsi",
        "Melanoma whole-slide image",
        "Whole-slide tissue image from patients with metastatic melanoma",
    ),
    "histopathology-region-of-interest-cropout": _image("histopathology-roi-cropout"),
    "stacked-histopathology-roi-cropouts": _image("stacked-histopathology-roi-cropouts"),
    "histopathology-region-of-interest-thumbnail": _row(
        "Thumbnail jpg", "histopathology-region-of-interest-thumbnail.jpeg"
    ),
    "hancock-blood-data": _json("hancock-blood-data", "Anything"),
    "hancock-clinical-data": _json("hancock-clinical-data", "Anything"),
    "hancock-pathological-data": _json("hancock-pathological-data", "Anything"),
    # Pathology, out
    "overall-survival-years": _json("overall-survival-years", "Float"),
    "detected-lymphocytes": _json("detected-lymphocytes", "Multiple points"),
    "detected-monocytes": _json("detected-monocytes", "Multiple points"),
    "detected-inflammatory-cells": _json("detected-inflammatory-cells", "Multiple points"),
    "mitotic-figures": _json("mitotic-figures", "Multiple points"),
    "multiple-mitotic-figure-classification": _json("multiple-mitotic-figure-classification", "Anything"),
    "melanoma-3-class-nuclei-segmentation": _json(
        "melanoma-3-class-nuclei-segmentation", "Multiple polygons", "Melanoma 3-class nuclei segmentation"
    ),
    "melanoma-tissue-mask-segmentation": {
        **_image(
            "melanoma-tissue-mask-segmentation", "Melanoma-tissue mask segmentation", kind="Segmentation"
        ),
        "overlaySegments": [
            {"name": name, "voxelValue": value}
            for value, name in enumerate(
                ("Stroma", "Blood Vessel", "Tumor", "Epidermis", "Necrosis"), start=1
            )
        ],
    },
    # Ophthalmology, endoscopy, microscopy
    "color-fundus-image": _image("color-fundus", "Color Fundus Image", "Retinal color fundus image (CFI)"),
    "corneal-specular-microscopy-image": _image("corneal-specular-microscopy-image"),
    "stacked-barretts-esophagus-endoscopy-images": _image("stacked-barretts-esophagus-endoscopy"),
    "stacked-neoplastic-lesion-likelihoods": _json("stacked-neoplastic-lesion-likelihoods", "Anything"),
    "endoscopic-robotic-surgery-video": _row("MP4 file", "endoscopic-robotic-surgery-video.mp4"),
    "light-sheet-3d-microscopy": _image("light-sheet-3d-microscopy"),
    "stacked-neuron-images-with-noise": _image("stacked-neuron-images-with-noise"),
    # Text
    "visual-context-question": _json("visual-context-question", "String"),
    "structured-prompt": _json("structured-prompt", "Anything"),
}
