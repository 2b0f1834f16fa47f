# What the simple feature pyramid reads of DARL's ViT-L. The config itself reads the last map alone,
# which section 4.3 and appendix B.1 call possibly sub-optimal. CONFIG names another config of
# ViT-L, from configs/ and without .py.
name = '{{$CONFIG:det/darl/mask-rcnn_darl-vit-l_sfp_16xb4-lsj-40e_coco}}'
config = f'../{name}.py'
variants = {
    # Each level from another depth: the maps behind the global blocks, the finest from the first.
    'four-depths': {
        'model.backbone.out_indices': (5, 11, 17, 23),
        'model.neck.in_indices': (0, 1, 2, 3),
        'work_dir': f'work_dirs/{name}/four-depths',
    },
    # All levels from the middle.
    'block-12': {
        'model.backbone.out_indices': (11,),
        'work_dir': f'work_dirs/{name}/block-12',
    },
}
