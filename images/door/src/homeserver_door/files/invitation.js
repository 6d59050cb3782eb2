// The code comes after the # of the link, which browsers send to nobody.
(function () {
  const field = document.getElementById('code')
  const code = window.location.hash.slice(1)
  if (!field || !code) return
  window.history.replaceState(null, '', window.location.pathname)
  field.value = code
  field.form.submit()
})()
