"""Looking around in a trained model: grids, truncation, mixed styles, films between pictures, and what is nearest to one.

Nothing here is minted: `mint` draws each token from its seed alone, as the weights have it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.art.draw.artist import open_device
from pipeline.art.draw.checkpoint import read_trained
from pipeline.art.draw.notes import WEIGHTS
from pipeline.art.draw.sampler import latents
from pipeline.art.models.blueprint import Mixing
from pipeline.base.errors import BadArgument, GenerationError
from pipeline.base.files import whole_file
from pipeline.base.limits import IMAGE_BYTES
from pipeline.base.pictures import BadPicture, decode, flat, plain_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILM_BYTES = 1 << 30  # of all frames together, before they are packed
PER_SECOND = 20  # frames
FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}  # of a film
TRIED = 64  # seeds among which a projection begins at the nearest
RATE = 0.05  # of its steps
WALK = 0.02  # how dear it is to leave what a seed may be
DECODERS = ("PNG", "JPEG", "WEBP", "GIF")


class Explorer:
    """A model of a run's folder or a weights file. Raises GenerationError for weights that are unsound or draw no pictures so."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        trained = read_trained(path / WEIGHTS if path.is_dir() else path)
        if trained.model.draws_its_pictures:
            raise GenerationError(
                reason=f"{path} is the model {trained.model.name!r}, which has no latents to walk among",
                hint="the verb generate with --model and --sheet shows its pictures",
            )
        self.name, self.side, self._device = trained.model.name, trained.sizes.size, open_device(device)
        self.network: Any = trained.network()
        self.network.to(self._device)
        whole = cast(int, self.network.latent_dim)
        self._width: int = getattr(trained.sizes, "z_dim", whole)  # the rest of a latent is noise

    def grid(self, seeds: Sequence[int], truncations: Sequence[float]) -> NDArray[np.uint8]:
        """A row of the seeds' pictures for each truncation: (rows, columns, S, S, 3)."""
        return np.stack([np.stack([self._picture(self._z(seed), psi) for seed in seeds]) for psi in truncations])

    def mixed(self, seeds: Sequence[int], psi: float) -> NDArray[np.uint8]:
        """What each row's seed composes in each column's style; on the diagonal both are one: (N, N, S, S, 3)."""
        if not isinstance(self.network, Mixing):
            raise BadArgument(name="--mix", value="given", expected=f"stylegan2 or fastgan: {self.name} has no styles")
        zs = [self._z(seed) for seed in seeds]
        return np.stack([np.stack([self._mixed(a, b, psi) for b in zs]) for a in zs])

    def film(self, seeds: Sequence[int], psi: float, seconds: float) -> Iterator[NDArray[np.uint8]]:
        """Frames (S, S, 3) of a walk from seed to seed and back to the first; what no style decides stands still."""
        count = max(len(seeds), round(seconds * PER_SECOND))
        if count * self.side**2 * 3 > FILM_BYTES:
            most = FILM_BYTES // (self.side**2 * 3) // PER_SECOND
            raise BadArgument(
                name="--seconds", value=seconds, expected=f"at most {most} for pictures of {self.side} px"
            )
        keys = [self._z(seed) for seed in (*seeds, seeds[0])]
        for frame in range(count):
            place = frame / count * len(seeds)
            yield self._picture(self._between(keys[int(place)], keys[int(place) + 1], place % 1, keys[0]), psi)

    def project(self, picture: Path, steps: int, psi: float) -> Projection:
        """The picture of this model that is nearest to a file's. Raises BadArgument for one that cannot be read."""
        wanted = self._read(picture)
        seeds = range(TRIED)
        near = [float((self._raw(self._z(seed), psi) - wanted).square().mean()) for seed in seeds]
        seed = int(np.argmin(near))
        began = self._z(seed)
        z = began[:, : self._width].clone().requires_grad_(True)
        adam = torch.optim.Adam([z], RATE)
        with torch.enable_grad():
            for _ in range(steps):
                images = self._raw(torch.cat([z, began[:, self._width :]], 1), psi)
                away = (z.square().mean() - 1).square()
                loss = _distance(images, wanted) + WALK * away
                adam.zero_grad()
                torch.autograd.backward(loss)
                adam.step()
        found = self._raw(torch.cat([z.detach(), began[:, self._width :]], 1), psi)
        rms = [float((images - wanted).square().mean().sqrt()) for images in (self._raw(began, psi), found)]
        sheet = np.stack([_levels_of(images) for images in (wanted, self._raw(began, psi), found)])
        return Projection(sheet[None], seed, rms[0] * 127.5, rms[1] * 127.5)

    # ── one picture ──────────────────────────────────────────────────────────────────────────────────────────

    def _z(self, seed: int) -> Tensor:
        return latents(self.network, seed).to(self._device)

    def _truncated(self, psi: float) -> Any:
        """The network whose styles lie so near to their mean, where it has styles."""
        if hasattr(self.network, "mean_style"):
            self.network.config = replace(self.network.config, psi=psi)
        return self.network

    def _raw(self, z: Tensor, psi: float) -> Tensor:
        network = self._truncated(psi)
        shrunk = z if hasattr(network, "mean_style") else z * psi
        images: Tensor = network(shrunk)
        return images

    @torch.no_grad()
    def _picture(self, z: Tensor, psi: float) -> NDArray[np.uint8]:
        return _levels_of(self._raw(z, psi))

    @torch.no_grad()
    def _mixed(self, composes: Tensor, colours: Tensor, psi: float) -> NDArray[np.uint8]:
        share = 1.0 if hasattr(self.network, "mean_style") else psi
        return _levels_of(self._truncated(psi).mixed(composes * share, colours * share))

    def _between(self, a: Tensor, b: Tensor, share: float, still: Tensor) -> Tensor:
        """As long as a latent usually is: plain means would be nearer to nothing."""
        z = (a * (1 - share) + b * share) / (share**2 + (1 - share) ** 2) ** 0.5
        return torch.cat([z[:, : self._width], still[:, self._width :]], 1)

    def _read(self, picture: Path) -> Tensor:
        from PIL import Image, ImageOps

        try:
            image = flat(decode(plain_bytes(picture, IMAGE_BYTES), DECODERS, side=2 * self.side).image).convert("RGB")
        except (BadPicture, OSError) as error:
            reason = getattr(error, "reason", None) or str(error)
            raise BadArgument(name="--project", value=str(picture), expected=f"a picture: {reason}") from error
        square = np.asarray(ImageOps.fit(image, (self.side, self.side), Image.Resampling.LANCZOS))
        wanted = torch.from_numpy(square.copy()).permute(2, 0, 1)[None].float().to(self._device) / 127.5 - 1
        return wanted if self._raw(self._z(0), 1.0).shape[1] == 3 else wanted.mean(1, keepdim=True)


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """A picture, the nearest of TRIED seeds, and the nearest that was found from there: a row of three."""

    sheet: NDArray[np.uint8]  # (1, 3, S, S, 3)
    seed: int
    before: float  # root mean square of levels between the picture and the seed's
    after: float  # and what was found


def write_film(path: Path, frames: Sequence[NDArray[np.uint8]]) -> None:
    """Write a film that runs for ever, as GIF, WebP or APNG by its name. Raises BadArgument for another."""
    from PIL import Image

    form = film_format(path)
    images = [Image.fromarray(frame, "RGB") for frame in frames]
    options: dict[str, Any] = {"save_all": True, "append_images": images[1:], "duration": 1000 // PER_SECOND, "loop": 0}
    if form == "WEBP":
        options |= {"quality": 90, "method": 4}
    with whole_file(path) as file:
        images[0].save(file, form, **options)


def film_format(path: Path) -> str:
    if path.suffix.lower() not in FORMATS:
        raise BadArgument(name="--out", value=str(path), expected="a name that ends in .gif, .webp, .png or .apng")
    return FORMATS[path.suffix.lower()]


def tiled(pictures: NDArray[np.uint8], gap: int = 2) -> NDArray[np.uint8]:
    """(rows, columns, S, S, 3) as one picture, white between them."""
    framed = np.pad(pictures, ((0, 0), (0, 0), (gap, gap), (gap, gap), (0, 0)), constant_values=255)
    rows, columns, side = framed.shape[:3]
    return np.ascontiguousarray(framed.transpose(0, 2, 1, 3, 4).reshape(rows * side, columns * side, 3))


def _distance(images: Tensor, wanted: Tensor) -> Tensor:
    """Mean difference at four scales, so that a shape that lies a little off is near all the same."""
    scales = [images.shape[-1] >> i for i in range(4) if images.shape[-1] >> i >= 4]
    return torch.stack(
        [(F.adaptive_avg_pool2d(images, side) - F.adaptive_avg_pool2d(wanted, side)).abs().mean() for side in scales]
    ).mean()


def _levels_of(images: Tensor) -> NDArray[np.uint8]:
    """(1, C, S, S) in [-1, 1] to (S, S, 3)."""
    levels = ((images[0].detach().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).expand(3, -1, -1)
    pixels: NDArray[np.uint8] = levels.permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels
