"""A layout of published files, in which the encoder is called the student."""

from mmaddp.checkpoints import Source, drop, keep, register_source

TINY_MAE = register_source(
    Source(
        'tiny-mae',
        marks=[{'student.cls', 'student.layers.0.norm1.weight'}],
        tables={
            'backbone': [
                keep('student.cls', 'cls_token'),
                keep('student.pos', 'pos_embed'),
                keep('student.patches.{rest}', 'patch_embed.proj.{rest}'),
                keep('student.layers.{i}.{rest}', 'blocks.{i}.{rest}'),
                keep('student.norm.{rest}', 'norm.{rest}', 'final norm'),
                drop('teacher.{rest}', 'teacher', 'only pre-training has one'),
            ]
        },
    )
)
