# Any network of timm, transformers or diffusers, or your own: ENCODER names it, WEIGHTS its file.
# Without a file, weights are random; model.backbone.pretrained=True fetches the published ones. The
# neck, the widths of the heads and the pixel values follow from the network. BEST_CELL names a
# result of tools/probe.py; its layer and time replace the default ones.
weights = '{{$WEIGHTS:none}}'
best_cell = '{{$BEST_CELL:none}}'
backbone = dict(
    type='mmaddp.Encoder',
    model='{{$ENCODER:timm:vit_base_patch16_224}}',
    init_cfg=dict(type='Pretrained', checkpoint=weights) if weights != 'none' else None,
)
